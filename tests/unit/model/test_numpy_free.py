"""A linear model is served without the packages that other forms need."""

import subprocess
import sys
from pathlib import Path

from support import ROOT

PROGRAM = """
import sys

BLOCKED = ("numpy", "scipy", "sklearn", "pandas", "onnxruntime", "onnx", "skl2onnx", "skops",
           "matplotlib", "joblib")
for name in BLOCKED:
    sys.modules[name] = None  # importing it fails

from model import main

client = main.load_app().app.test_client()
for path in ("/isAlive", "/prediction?f=0.05", "/prediction/?f=0.05", "/", "/docs", "/model",
             "/model?format=html", "/openapi.json", "/metrics", "/v2", "/v2/health/live",
             "/v2/health/ready", "/v2/models/diabetes", "/v2/models/diabetes/ready"):
    assert client.get(path).status_code == 200, path
assert client.get("/prediction?f=0.05").text == "[199.60524718]"
for name in client.get("/model").json["plots"]:
    assert client.get(f"/model/plots/{name}").status_code == 200
answer = client.post("/v1/predictions", json={"columns": {"f": [0.05, 1, None]}}).json
assert answer["predictions"][2] is None and answer["error_count"] == 1
assert client.post("/v1/predictions", json={"records": [{"f": 1}]}).status_code == 200
table = client.post("/v1/predictions", data="f\\n0.05\\n\\n", content_type="text/csv")
assert table.text.count("\\n") == 3
tensor = b'{"name":"f","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}'
head = b'{"inputs":[' + tensor + b"]}"
answer = client.post(
    "/v2/models/diabetes/infer",
    data=head + bytes(8),
    headers={"Inference-Header-Content-Length": str(len(head))},
)
assert answer.json["outputs"][0]["shape"] == [1], answer.data
assert not [name for name in sys.modules if name.partition(".")[0] in BLOCKED
            and sys.modules[name] is not None]
"""


def test_all_endpoints(model_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PREDICTION_MODEL_FOLDER": str(model_folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
