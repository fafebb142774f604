import base64
import json

import pytest

from benchmarks.serving import questions

COLUMNS = {"f": [0.05, -0.1], "sex": ["a", "b b"]}
NUMBERS = {"f": [0.05, -0.1], "g": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("form", "columns", "path", "body"),
    [
        (questions.TEXT, {"f": [0.05], "sex": ["b b"]}, "/prediction/?f=0.05&sex=b+b", None),
        (questions.FASTAPI, {"f": [1e-06]}, "/prediction/?f=1e-06", None),
        (questions.OURS_BATCH, COLUMNS, "/v1/predictions", {"columns": COLUMNS}),
        (questions.FASTAPI_BATCH, NUMBERS, "/predictions", {"rows": [[0.05, 1.0], [-0.1, 2.0]]}),
        (questions.MLFLOW, NUMBERS, "/invocations", {"inputs": [[0.05, 1.0], [-0.1, 2.0]]}),
        (questions.BENTOML, NUMBERS, "/predict", {"rows": [[0.05, 1.0], [-0.1, 2.0]]}),
        (questions.LITSERVE, NUMBERS, "/predict", {"input": [[0.05, 1.0], [-0.1, 2.0]]}),
        (questions.MLSERVER, NUMBERS, "/v2/models/model/infer",
         {"inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP64",
                      "data": [0.05, 1.0, -0.1, 2.0]}]}),
        (questions.MLSERVER_COLUMNS, COLUMNS, "/v2/models/model/infer",
         {"parameters": {"content_type": "pd"}, "inputs": [
             {"name": "f", "shape": [2], "datatype": "FP64", "data": [0.05, -0.1],
              "parameters": {"content_type": "np"}},
             {"name": "sex", "shape": [2], "datatype": "BYTES", "data": ["a", "b b"],
              "parameters": {"content_type": "str"}}]}),
    ],
)  # fmt: skip
def test_what_is_asked(form, columns, path, body):
    question = form.ask(columns)
    assert question.path == path
    assert question.method == ("POST" if body else "GET")
    if body:
        assert json.loads(question.body) == body
        # wrk reads one request per line: path and body, separated by a tab.
        assert not set("\t\n") & set(question.path + question.body)


@pytest.mark.parametrize(
    ("form", "body", "values"),
    [
        (questions.TEXT, b"[199.60524718]\n", [199.60524718]),
        (questions.FASTAPI, b'{"prediction": 1.5}', [1.5]),
        (questions.FASTAPI_BATCH, b'{"predictions": [1.5, 2]}', [1.5, 2]),
        (questions.BENTOML, b"[1.5, 2]", [1.5, 2]),
        (questions.LITSERVE, b'{"output": [1.5]}', [1.5]),
        (questions.MLSERVER, b'{"outputs": [{"data": [1.5, 2]}]}', [1.5, 2]),
    ],
)
def test_what_was_answered(form, body, values):
    assert form.read(body) == values


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ([1.0, 200.0], ""),
        ([1.000000001, 200.000001], ""),
        ([1.0], "1 predictions for 2 rows"),
        ([1.0, 200.001], "200.001 for row 1, where scikit-learn predicts 200.0"),
        ([1.0, float("nan")], "nan for row 1, where scikit-learn predicts 200.0"),
    ],
)
def test_an_answer_is_scikit_learns_or_wrong(found, fault):
    assert questions.wrong(found, [1.0, 200.0]) == fault


def test_targets_of_vegeta():
    asked = json.loads(questions.Question("/prediction/?f=1").vegeta_target(81))
    assert asked == {"method": "GET", "url": "http://127.0.0.1:81/prediction/?f=1"}
    sent = json.loads(questions.Question("/p", "{}").vegeta_target(81))
    assert base64.b64decode(sent["body"]) == b"{}"
    assert sent["header"] == {"Content-Type": ["application/json"]}


def test_a_part_of_the_rows():
    assert questions.part(COLUMNS, 1, 2) == {"f": [-0.1], "sex": ["b b"]}
    assert questions.rows(COLUMNS) == [[0.05, "a"], [-0.1, "b b"]]
