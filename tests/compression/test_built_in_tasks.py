"""Tasks that need no file: what their networks are judged on, they were not trained on."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from tests.train.cifar_files import drawn, write_files

from netsurgery import zoo
from netsurgery.compression.task import Task
from netsurgery.experiments.built_in_tasks import built_in
from netsurgery.train.cifar import NORMALIZATION

PER_FILE = 1_010  # five files of them hold more than the training images that are held out
TEST_SEED = 5  # of the sixth file


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("data")
    write_files(folder, PER_FILE)
    torch.manual_seed(0)
    save_file(zoo.resnet20().state_dict(), folder / "reference.safetensors")
    return built_in("resnet20", folder, folder / "reference.safetensors")


def right(model: torch.nn.Module, part: slice) -> torch.Tensor:
    """100 for each test image of a part that is classified rightly."""
    images, labels = drawn(PER_FILE, TEST_SEED)
    with torch.no_grad():
        found = model.eval()(NORMALIZATION(torch.from_numpy(images[part]))).argmax(1)
    return 100.0 * (found == torch.from_numpy(labels[part]).long()).double()


def test_a_reference_that_knows_all_training_images_is_judged_on_half_of_the_test_images(task: Task) -> None:
    assert (task.baseline, task.certainty) == (None, 0.5)
    with torch.no_grad():
        judged = task.evaluate(task.model.eval())
    assert torch.equal(judged, right(task.model, slice(PER_FILE // 2)))


def test_the_other_half_is_read_at_the_end(task: Task) -> None:
    with torch.no_grad():
        error = 100.0 - right(task.model, slice(PER_FILE // 2, None)).mean()
    assert task.report(task.model) == [f"error on the other half of the test images {error:.2f} -> {error:.2f} %"]


def test_its_loss_is_in_the_precision_of_who_calls_it(task: Task) -> None:
    batch, seen = next(iter(task.train_loader)), []
    handle = task.model.linear.register_forward_hook(lambda _module, _given, output: seen.append(output.dtype))
    task.loss(task.model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        task.loss(task.model, batch)
    handle.remove()
    assert seen == [torch.float32, torch.bfloat16]
