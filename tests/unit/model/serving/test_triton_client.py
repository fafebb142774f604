"""A third-party client of the Open Inference Protocol, against the real server.

It runs in a separate process, to keep tritonclient's gevent out of this one.
"""

import subprocess
import sys
from pathlib import Path

from support import models
from support.model_server import LIMIT, serving

COMMON = """
import sys
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(f"127.0.0.1:{sys.argv[1]}")

def tensor(name, values, datatype, *, binary, shape=None):
    array = np.array(values, triton_type(datatype))
    given = triton.InferInput(name, list(shape or array.shape), datatype)
    given.set_data_from_numpy(array.reshape(shape or array.shape), binary_data=binary)
    return given

def triton_type(datatype):
    from tritonclient.utils import triton_to_np_dtype
    return triton_to_np_dtype(datatype)

def refused(name, inputs, text, **options):
    try:
        client.infer(name, inputs, **options)
    except InferenceServerException as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"not refused: {text}")

assert client.is_server_live() and client.is_server_ready()
assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
"""

LINE = """
NAME = "diabetes"
assert client.is_model_ready(NAME) and client.is_model_ready(NAME, "1")
assert not client.is_model_ready("other") and not client.is_model_ready(NAME, "2")
metadata = client.get_model_metadata(NAME)
assert metadata["inputs"] == [{"name": "f", "datatype": "FP64", "shape": [-1]}]
weight, intercept = map(float.fromhex, sys.argv[2:])
values = [0, 1, 2]
expected = np.array(values) * weight + intercept
for datatype in ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
                 "FP16", "FP32", "FP64"):
    for binary in (True, False):
        if datatype == "FP16" and not binary:
            continue  # which the client cannot write as JSON
        for shape in ((3,), (3, 1)):
            for outputs in (None, [triton.InferRequestedOutput("predict", binary_data=binary)]):
                given = tensor("f", values, datatype, binary=binary, shape=shape)
                result = client.infer(NAME, [given], outputs=outputs, request_id="id-1")
                assert (result.as_numpy("predict") == expected).all(), (datatype, binary)
                assert result.get_response()["id"] == "id-1"
        given = tensor("input", values, datatype, binary=binary, shape=(3, 1))
        result = client.infer(NAME, [given])
        assert (result.as_numpy("predict") == expected).all()
many = np.random.default_rng(3).normal(0, 0.05, 20_000)
result = client.infer(NAME, [tensor("f", many, "FP64", binary=True)], model_version="1")
assert (result.as_numpy("predict") == many * weight + intercept).all()
assert client.infer(NAME, [tensor("f", [], "FP64", binary=True)]).as_numpy("predict").size == 0
pending = [client.async_infer(NAME, [tensor("f", [n], "FP32", binary=True)]) for n in range(8)]
for n, request in enumerate(pending):
    assert request.get_result().as_numpy("predict")[0] == n * weight + intercept
for binary in (True, False):
    refused(NAME, [tensor("f", [1e308], "FP64", binary=binary)], "beyond the largest number")
    refused(NAME, [tensor("f", [b"x"], "BYTES", binary=binary)], "one of the datatypes FP16")
    refused(NAME, [tensor("g", [1.0], "FP64", binary=binary)], "inputs must be f, not g")
    refused("other", [tensor("f", [1.0], "FP64", binary=binary)], "no model 'other'")
refused(NAME, [tensor("f", [np.nan], "FP64", binary=True)], "f is missing")
refused(NAME, [tensor("f", [1.0], "FP64", binary=True)], "with a name of predict.",
        outputs=[triton.InferRequestedOutput("other")])
refused(NAME, [tensor("f", [1.0], "FP64", binary=True)], "send the body as it is",
        request_compression_algorithm="gzip")
"""

MIXED = """
NAME = "mixed"
metadata = client.get_model_metadata(NAME)
kinds = [entry["datatype"] for entry in metadata["inputs"]]
assert kinds == ["FP64", "FP64", "INT64", "BYTES", "BYTES", "BOOL"], kinds
rows = {
    "bill_mm": [39.0, 50.0], "body_g": [3700.0, 5400.0], "age": [3, 4],
    "island": ["Dream", "Biscoe"], "sex": ["male", "female"], "tagged": [True, False],
}
answers = []
for binary in (True, False):
    inputs = [
        tensor(entry["name"], [text.encode() for text in rows[entry["name"]]]
               if entry["datatype"] == "BYTES" else rows[entry["name"]],
               entry["datatype"], binary=binary)
        for entry in metadata["inputs"]
    ]
    for outputs in (None, [triton.InferRequestedOutput(name, binary_data=binary)
                           for name in ("predict", "predict_proba")]):
        result = client.infer(NAME, inputs, outputs=outputs)
        labels = [label.decode() if isinstance(label, bytes) else label
                  for label in result.as_numpy("predict")]
        likely = result.as_numpy("predict_proba")
        assert likely.shape == (2, 3) and np.allclose(likely.sum(axis=1), 1)
        answers.append((labels, likely.tolist()))
    only = client.infer(NAME, inputs, outputs=[triton.InferRequestedOutput("predict_proba")])
    assert only.as_numpy("predict") is None
    assert only.as_numpy("predict_proba").tolist() == likely.tolist()
assert all(answer == answers[0] for answer in answers), answers
assert answers[0][0] == sys.argv[2:], answers
refused(NAME, inputs[:-1], "inputs must be bill_mm")
"""


def run(program: str, *arguments: str | int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMON + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr


def test_numbers_of_all_datatypes(model_folder: Path) -> None:
    estimator = models.line().estimator
    weight, intercept = estimator.coef_[0], estimator.intercept_
    with serving(model_folder) as server:
        run(LINE, server.port, float(weight).hex(), float(intercept).hex())


def test_texts_booleans_and_probabilities(mixed_folder: Path) -> None:
    frame = (
        models.mixed()
        .frame.iloc[:2]
        .assign(
            bill_mm=[39.0, 50.0],
            body_g=[3700.0, 5400.0],
            age=[3, 4],
            island=["Dream", "Biscoe"],
            sex=["male", "female"],
            tagged=[True, False],
        )
    )
    with serving(mixed_folder) as server:
        run(MIXED, server.port, *models.mixed().estimator.predict(frame))
