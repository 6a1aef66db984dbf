"""Without a trainer's library its callback says what to install, and all else works."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
for name in {absent}:
    sys.modules[name] = None
import netsurgery as ns
try:
    import netsurgery.integrations.{module}
except ns.MissingExtraError as error:
    print(error)
assert not {{"lightning", "pytorch_lightning", "transformers"}} & {{name for name, m in sys.modules.items() if m}}
"""


@pytest.mark.parametrize(
    ("module", "absent"),
    [("lightning", ("lightning", "lightning.pytorch", "pytorch_lightning")), ("transformers", ("transformers",))],
)
def test_the_error_says_what_to_install(module: str, absent: tuple[str, ...]) -> None:
    run = [sys.executable, "-c", CODE.format(module=module, absent=absent)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == (f"netsurgery.integrations.{module} needs {module}: pip install 'netsurgery[integrations]'\n")
