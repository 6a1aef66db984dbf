"""How a network is trained, as a frozen record of settings."""

from __future__ import annotations

from dataclasses import dataclass

from netsurgery.schedules import Constant, Schedule

WEIGHT_DECAY = Constant(5e-4)
"""That of the LeNet references."""


@dataclass(frozen=True)
class Recipe:
    """How to train: stochastic gradient descent with momentum on the cross-entropy.

    steps: optimizer steps. batch_size: images a step. learning_rate, weight_decay: by step.
    bias_factor: learning rate of biases over that of weights.
    input_dropout: share of pixels set to 0 at random in each training image, in [0, 1); the others are scaled up.
    shifted: share of batches that are moved by -1, 0 or 1 pixel in each direction: augmentation, which the papers'
        own training of the LeNets does without.
    crop_padding: zeros around each training image, in pixels; a part of the original size is cut out at random.
    mirrored: exchange left and right of half of the training images.
    distilled: share of the loss that the outputs of a teacher make, in [0, 1); the labels make the rest.
    auxiliary: weight of the loss of each auxiliary classifier, where a network has some (GoogLeNet: section 5).
    temperature: by which logits are divided before they are compared with the teacher's, > 0.
    """

    steps: int
    learning_rate: Schedule
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: Schedule = WEIGHT_DECAY
    bias_factor: float = 1.0
    input_dropout: float = 0.0
    shifted: float = 0.0
    crop_padding: int = 0
    mirrored: bool = False
    distilled: float = 0.0
    auxiliary: float = 0.3
    temperature: float = 4.0
