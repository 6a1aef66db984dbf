"""DeepSparse behind a pipe, for runtimes.py: python deepsparse_process.py MODEL.onnx INPUT.npy THREADS CALLS.py

CALLS.py is netsurgery/timing/calls.py, which times calls here as it does everywhere else.

Requests are lines of JSON on standard input, ["outputs"] or ["turn", calls]; answers are lines on standard output.
Runs in the interpreter that DeepSparse is installed in: Python 3.8 to 3.11, pip install deepsparse==1.8.0
"""

import json
import os
import runpy
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # DeepSparse prints

import deepsparse  # noqa: E402
import numpy as np  # noqa: E402

path, given, threads, calls = sys.argv[1:]
timed = runpy.run_path(calls)["timed"]
x = np.load(given)
engine = deepsparse.Engine(path, batch_size=len(x), num_cores=int(threads))


def answer(**values):
    print(json.dumps(values), file=answers, flush=True)


answer(version=deepsparse.__version__)
for line in sys.stdin:
    request, *arguments = json.loads(line)
    if request == "outputs":
        written = []
        for index, output in enumerate(engine.run([x])):
            written.append(given.replace("input.npy", f"output{index}.npy"))
            np.save(written[-1], output)
        answer(outputs=written)
    else:
        answer(times_us=timed(lambda: engine.run([x]), *arguments))
