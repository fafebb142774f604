"""Double-precision ONNX converters for what skl2onnx converts in single precision or not at all.

scikit-learn's trees compare single-precision inputs with double-precision thresholds. The tree
operators that skl2onnx uses store everything in single precision, so that their results differ from
the seventh digit on, and completely near thresholds. The operator TreeEnsemble, in version 5 of
ai.onnx.ml, stores doubles. Sums are computed in scikit-learn's order: the initial value of an
ensemble is a tree of its own, the first one.

skl2onnx does not support that version yet, so nodes in the domain TREES are placeholders until
`finish`. A missing text is represented by the text MISSING.
"""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.helper import make_node, make_opsetid, make_tensor_value_info
from skl2onnx import convert_sklearn
from skl2onnx.common import _registration
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.utils import get_tags

from model.service.contract.features import Feature
from model.service.contract.forms.estimator import parts_of
from model.service.contract.forms.onnx import (
    DOUBTS,
    MISSING,
    NUMBERS,
    PREDICTION,
    PROBABILITIES,
    TEXT_KINDS,
    TEXTS,
)

TREES = "trees"
ML_DOMAIN = "ai.onnx.ml"
ML_VERSION = 5
SKL2ONNX_ML_VERSION = 3
OPSET = 21
SUM = 1
TensorProto = onnx.TensorProto


class Tree(NamedTuple):
    """A decision tree as arrays with one entry per node; `left` is negative for a leaf.

    value: for a leaf, the value that it adds to the target.
    """

    feature: NDArray[np.integer[Any]]
    threshold: NDArray[np.float64]
    left: NDArray[np.integer[Any]]
    right: NDArray[np.integer[Any]]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    target: int = 0


class Writer:
    """Writes the nodes of one operator."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        """Initialize with the arguments that skl2onnx passes to a converter."""
        self.model = operator.raw_operator
        self.inputs = [(variable.full_name, variable.type) for variable in operator.inputs]
        self._outputs = [variable.full_name for variable in operator.outputs]
        self._scope = scope
        self._container = container

    def constant(self, value: Any) -> str:
        """Add a constant and return its name."""
        name: str = self._scope.get_unique_variable_name("constant")
        array = np.asarray(value)
        if array.dtype.kind in "OU":
            texts = [str(text).encode() for text in array.ravel().tolist()]
            self._container.add_initializer(name, TensorProto.STRING, array.shape, texts)
        else:
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            self._container.add_initializer(name, kind, array.shape, array.ravel().tolist())
        return name

    def node(self, operator: str, *inputs: str, out: int | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output; out: the operator's output that it is."""
        name: str = (
            self._scope.get_unique_variable_name(operator) if out is None else self._outputs[out]
        )
        self._container.add_node(
            operator,
            list(inputs),
            [name],
            name=self._scope.get_unique_operator_name(operator),
            op_version=1 if attributes.get("op_domain") else 13,
            **attributes,
        )
        return name

    def numbers(self) -> str:
        """Return the name of a tensor with all numeric inputs concatenated by column."""
        names = [name for name, _ in self.inputs]
        return names[0] if len(names) == 1 else self.node("Concat", *names, axis=1)

    def columns(self) -> list[tuple[str, bool]]:
        """Return the name of each column, shape (rows, 1), and whether it holds texts."""
        columns = []
        for name, type_ in self.inputs:
            text = isinstance(type_, StringTensorType)
            width = type_.shape[1]
            if width == 1:
                columns.append((name, text))
            else:
                columns += [
                    (self.node("Gather", name, self.constant([index]), axis=1), text)
                    for index in range(width)
                ]
        return columns

    def ensemble(self, inputs: str, trees: Sequence[Tree], targets: int = 1) -> str:
        """Return the name of the sums of the trees' values, shape (rows, targets)."""
        return self.node(
            "TreeEnsemble",
            inputs,
            op_domain=TREES,
            n_targets=targets,
            aggregate_function=SUM,
            post_transform=0,
            **flatten(trees),
        )

    def label(self, winner: str) -> None:
        """Set the first output to the class with the index `winner`, shape (rows,)."""
        classes = self.model.classes_
        known = classes if classes.dtype.kind in "OU" else classes.astype(np.int64)
        self.node("Gather", self.constant(known), winner, out=0, axis=0)

    def most(self, scores: str) -> str:
        """Return the name of the index of each row's greatest score, the first one if tied."""
        return self.node("ArgMax", scores, axis=1, keepdims=0)


def flatten(trees: Sequence[Tree]) -> dict[str, Any]:
    """Return the attributes of TreeEnsemble that describe the trees."""
    inner: dict[str, list[Any]] = {
        name: []
        for name in (
            "nodes_featureids",
            "nodes_truenodeids",
            "nodes_falsenodeids",
            "nodes_trueleafs",
            "nodes_falseleafs",
            "nodes_missing_value_tracks_true",
        )
    }
    splits: list[float] = []
    roots: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    for tree in trees:
        leaf = tree.left < 0
        nodes, leaves = np.flatnonzero(~leaf), np.flatnonzero(leaf)
        roots.append(len(splits))
        place = np.empty(leaf.size, np.int64)
        place[nodes] = np.arange(nodes.size) + len(splits)
        place[leaves] = np.arange(leaves.size) + len(weights)
        targets += [tree.target] * leaves.size
        weights += tree.value[leaves].tolist()
        # A tree must have at least one split: for a single leaf, both branches lead to it.
        left, right = (tree.left[nodes], tree.right[nodes]) if nodes.size else (leaves, leaves)
        inner["nodes_featureids"] += tree.feature[nodes].tolist() if nodes.size else [0]
        splits += tree.threshold[nodes].tolist() if nodes.size else [0.0]
        inner["nodes_truenodeids"] += place[left].tolist()
        inner["nodes_falsenodeids"] += place[right].tolist()
        inner["nodes_trueleafs"] += leaf[left].astype(int).tolist()
        inner["nodes_falseleafs"] += leaf[right].astype(int).tolist()
        inner["nodes_missing_value_tracks_true"] += (
            tree.missing_left[nodes].astype(int).tolist() if nodes.size else [0]
        )
    return {
        **inner,
        "nodes_splits": numpy_helper.from_array(np.array(splits)),
        "nodes_modes": numpy_helper.from_array(np.zeros(len(splits), np.uint8)),
        "tree_roots": roots,
        "leaf_targetids": targets,
        "leaf_weights": numpy_helper.from_array(np.array(weights)),
    }


def lone_leaf(value: float, target: int = 0) -> Tree:
    """Return a tree that consists of one leaf, a constant."""
    return Tree(
        feature=np.zeros(1, np.int64),
        threshold=np.zeros(1),
        left=np.full(1, -1),
        right=np.full(1, -1),
        missing_left=np.zeros(1, bool),
        value=np.array([value]),
        target=target,
    )


def of_estimator(estimator: Any, value: NDArray[np.float64], target: int = 0) -> Tree:
    """Return the tree of a scikit-learn decision tree; value: the value of each node."""
    tree = estimator.tree_
    return Tree(
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=tree.missing_go_to_left.astype(bool),
        value=value,
        target=target,
    )


def single_precision(write: Writer) -> str:
    """Return the name of the inputs, rounded to single precision as scikit-learn's trees do."""
    single = write.node("Cast", write.numbers(), to=TensorProto.FLOAT)
    return write.node("Cast", single, to=TensorProto.DOUBLE)


def convert_forest(scope: Any, operator: Any, container: Any) -> None:
    """Convert a decision tree, or a forest that averages decision trees."""
    write = Writer(scope, operator, container)
    model = write.model
    if model.n_outputs_ > 1 and hasattr(model, "classes_"):
        raise NotImplementedError("classifiers with several outputs are not converted")
    trees = getattr(model, "estimators_", [model])
    count = write.constant(float(len(trees)))
    inputs = single_precision(write)
    values = [tree.tree_.value[:, :, 0] for tree in trees]
    if model.n_outputs_ == 1 and not hasattr(model, "classes_"):
        total = write.ensemble(
            inputs,
            [of_estimator(tree, value[:, 0]) for tree, value in zip(trees, values, strict=True)],
        )
        write.node("Div", total, count, out=0)
        return
    # A leaf can have only one value: here, the index of its row in the table of all leaves.
    if hasattr(model, "classes_"):
        values = [tree.tree_.value[:, 0, :] for tree in trees]
    starts = np.cumsum([0, *(len(value) for value in values)])
    rows = write.ensemble(
        inputs,
        [
            of_estimator(tree, np.arange(start, start + len(value), dtype=float), target)
            for target, (tree, value, start) in enumerate(zip(trees, values, starts, strict=False))
        ],
        targets=len(trees),
    )
    table = write.constant(np.concatenate(values))
    leaves = write.node("Gather", table, write.node("Cast", rows, to=TensorProto.INT64), axis=0)
    total = write.node("ReduceSum", leaves, write.constant([1]), keepdims=0)
    if hasattr(model, "classes_"):
        probabilities = write.node("Div", total, count, out=1)
        write.label(write.most(probabilities))
    else:
        write.node("Div", total, count, out=0)


def convert_gradient_boosting(scope: Any, operator: Any, container: Any) -> None:
    """Convert gradient boosting of decision trees."""
    write = Writer(scope, operator, container)
    model = write.model
    if not (model.init_ == "zero" or isinstance(model.init_, (DummyClassifier, DummyRegressor))):
        raise NotImplementedError("gradient boosting upon another estimator is not converted")
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]  # noqa: SLF001 - public nowhere
    trees = [
        *(lone_leaf(value, target) for target, value in enumerate(start.tolist())),
        *(
            of_estimator(tree, tree.tree_.value[:, 0, 0] * model.learning_rate, target)
            for stage in model.estimators_
            for target, tree in enumerate(stage)
        ),
    ]
    _boosted(write, write.ensemble(single_precision(write), trees, len(start)), "GreaterOrEqual")


def convert_hist_gradient_boosting(scope: Any, operator: Any, container: Any) -> None:
    """Convert histogram-based gradient boosting, whose trees use double precision."""
    write = Writer(scope, operator, container)
    model = write.model
    if getattr(model, "is_categorical_", None) is not None:
        raise NotImplementedError("trees that split by category are not converted")
    if not hasattr(model, "classes_") and model.loss in ("poisson", "gamma"):
        raise NotImplementedError(f"the loss {model.loss} is not converted")
    start = np.ravel(model._baseline_prediction)  # noqa: SLF001 - public nowhere
    trees = [lone_leaf(value, target) for target, value in enumerate(start.tolist())]
    for stage in model._predictors:  # noqa: SLF001 - public nowhere
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            trees.append(
                Tree(
                    feature=nodes["feature_idx"],
                    threshold=nodes["num_threshold"],
                    left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
                    right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
                    missing_left=nodes["missing_go_to_left"].astype(bool),
                    value=nodes["value"],
                    target=target,
                )
            )
    _boosted(write, write.ensemble(write.numbers(), trees, len(start)), "Greater")


def _boosted(write: Writer, scores: str, second: str) -> None:
    """Write the outputs; second: the comparison of a sum with 0 by which the second class wins."""
    if not hasattr(write.model, "classes_"):
        write.node("Identity", scores, out=0)
        return
    if len(write.model.classes_) > 2:  # noqa: PLR2004 - two classes have one sum
        write.label(write.most(scores))
        write.node("Softmax", scores, out=1, axis=1)
        return
    wins = write.node(second, scores, write.constant(0.0))
    flat = write.node("Reshape", wins, write.constant([-1]))
    write.label(write.node("Cast", flat, to=TensorProto.INT64))
    last = write.node("Sigmoid", scores)
    first = write.node("Sub", write.constant(1.0), last)
    write.node("Concat", first, last, out=1, axis=1)


def convert_linear_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Convert a linear classifier without probabilities."""
    write = Writer(scope, operator, container)
    model = write.model
    if getattr(model, "multilabel_", False) or isinstance(model.classes_, list):
        raise NotImplementedError("classifiers with several outputs are not converted")
    weights = np.atleast_2d(model.coef_).astype(float)
    product = write.node("MatMul", write.numbers(), write.constant(weights.T))
    intercept = np.broadcast_to(model.intercept_, len(weights)).astype(float)
    scores = write.node("Add", product, write.constant(intercept), out=1)
    if len(model.classes_) > 2:  # noqa: PLR2004 - two classes have one score
        write.label(write.most(scores))
        return
    wins = write.node("Greater", scores, write.constant(0.0))
    flat = write.node("Reshape", wins, write.constant([-1]))
    write.label(write.node("Cast", flat, to=TensorProto.INT64))


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Convert an imputer that fills in one constant per column."""
    write = Writer(scope, operator, container)
    model = write.model
    if model.add_indicator or len(model.statistics_) != len(write.columns()):
        raise NotImplementedError("imputers that change the number of columns are not converted")
    texts = {text for _, text in write.columns()}
    names = [name for name, _ in write.inputs]
    values = names[0] if len(names) == 1 else write.node("Concat", *names, axis=1)
    if texts == {True}:
        missing = write.node("Equal", values, write.constant([[model.missing_values]]))
        statistics = model.statistics_.astype(object)
    elif texts == {False} and np.isnan(model.missing_values):
        missing = write.node("IsNaN", values)
        statistics = model.statistics_.astype(float)
        if np.isnan(statistics).any():
            raise NotImplementedError("imputers of columns without values are not converted")
    else:
        raise NotImplementedError(f"missing values {model.missing_values!r} are not converted")
    write.node("Where", missing, write.constant(statistics.reshape(1, -1)), values, out=0)


def convert_one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Convert a one-hot encoder."""
    write = Writer(scope, operator, container)
    model = write.model
    if model._infrequent_enabled:  # noqa: SLF001 - public nowhere
        raise NotImplementedError("infrequent categories are not converted")
    encoded = []
    for index, (name, text) in enumerate(write.columns()):
        categories = model.categories_[index]
        if model.drop_idx_ is not None and model.drop_idx_[index] is not None:
            categories = np.delete(categories, model.drop_idx_[index])
        known = _constants(categories, text).reshape(1, -1)
        if known.size:
            equal = write.node("Equal", name, write.constant(known))
            encoded.append(write.node("Cast", equal, to=TensorProto.DOUBLE))
    write.node("Concat", *encoded, out=0, axis=1)


def convert_ordinal(scope: Any, operator: Any, container: Any) -> None:
    """Convert an ordinal encoder."""
    write = Writer(scope, operator, container)
    model = write.model
    if model._infrequent_enabled:  # noqa: SLF001 - public nowhere
        raise NotImplementedError("infrequent categories are not converted")
    encoded = []
    for index, (name, text) in enumerate(write.columns()):
        known = _constants(model.categories_[index], text)
        codes = np.arange(known.size, dtype=float)
        if text:
            codes[known == MISSING] = model.encoded_missing_value
        unknown = np.nan if model.unknown_value is None else float(model.unknown_value)
        # The first category that is equal, or the entry for unknown values after the last one.
        equal = write.node("Equal", name, write.constant(known.reshape(1, -1)))
        score = write.node("Cast", equal, to=TensorProto.DOUBLE)
        none = write.node(
            "Mul",
            write.node("Slice", score, *map(write.constant, ([0], [1], [1]))),
            write.constant(0.0),
        )
        half = write.node("Add", none, write.constant(0.5))
        place = write.node("ArgMax", write.node("Concat", score, half, axis=1), axis=1, keepdims=1)
        encoded.append(
            write.node("Gather", write.constant(np.append(codes, unknown)), place, axis=0)
        )
    write.node("Concat", *encoded, out=0, axis=1)


def _constants(categories: NDArray[Any], text: bool) -> NDArray[Any]:
    if text:
        return categories.astype(object)
    numbers = categories.astype(float)
    if np.isnan(numbers).any():
        raise NotImplementedError("missing numbers as categories are not converted")
    return numbers


def encoder_shape(operator: Any) -> None:
    """Set the output type of an encoder: doubles, and the number of columns."""
    model = operator.raw_operator
    width = sum(map(len, model.categories_))
    if isinstance(model, OrdinalEncoder):
        width = len(model.categories_)
    elif model.drop_idx_ is not None:
        width -= sum(index is not None for index in model.drop_idx_)
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = DoubleTensorType([rows, width])


CONVERTERS: Mapping[type, Callable[..., None]] = {
    **dict.fromkeys(
        (
            DecisionTreeClassifier,
            DecisionTreeRegressor,
            ExtraTreeClassifier,
            ExtraTreeRegressor,
            ExtraTreesClassifier,
            ExtraTreesRegressor,
            RandomForestClassifier,
            RandomForestRegressor,
        ),
        convert_forest,
    ),
    **dict.fromkeys(
        (GradientBoostingClassifier, GradientBoostingRegressor), convert_gradient_boosting
    ),
    **dict.fromkeys(
        (HistGradientBoostingClassifier, HistGradientBoostingRegressor),
        convert_hist_gradient_boosting,
    ),
    LinearSVC: convert_linear_classifier,
    RidgeClassifier: convert_linear_classifier,
    SimpleImputer: convert_imputer,
    OneHotEncoder: convert_one_hot,
    OrdinalEncoder: convert_ordinal,
}
SHAPES: Mapping[type, Callable[[Any], None]] = dict.fromkeys(
    (OneHotEncoder, OrdinalEncoder), encoder_shape
)


class Guard:
    """Finds, in a converted model, the numbers that scikit-learn checks: each part's inputs.

    doubts: for such a tensor, whether infinite numbers are doubtful, and whether NaN is.
    """

    # They contain other parts, or check nothing.
    UNCHECKED = (
        ColumnTransformer,
        FeatureUnion,
        Pipeline,
        FunctionTransformer,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    def __init__(self) -> None:
        """Initialize without tensors."""
        self.doubts: dict[str, tuple[bool, bool]] = {}

    def converters(self, estimator: Any) -> dict[type, Callable[..., None]]:
        """Return the converters of the estimator's parts that also record their inputs."""
        return {
            kind: functools.partial(self._convert, CONVERTERS.get(kind))
            for kind in {*CONVERTERS, *map(type, parts_of(estimator))}
        }

    def _convert(
        self, converter: Callable[..., None] | None, scope: Any, operator: Any, container: Any
    ) -> None:
        known = len(container.nodes)
        (converter or _registration.get_converter(operator.type))(scope, operator, container)
        part = operator.raw_operator
        if not isinstance(part, BaseEstimator) or isinstance(part, self.UNCHECKED):
            return
        # Trees treat numbers beyond single precision as infinite.
        infinite = CONVERTERS.get(type(part)) not in (convert_forest, convert_gradient_boosting)
        missing = not get_tags(part).input_tags.allow_nan
        for variable in operator.inputs:
            if isinstance(variable.type, (DoubleTensorType, FloatTensorType)):
                self._add(variable.full_name, infinite, missing)
        # The sign of an infinite sum depends on its order.
        for node in container.nodes[known:]:
            if node.op_type in ("MatMul", "Gemm"):
                self._add(node.output[0], True, True)

    def _add(self, name: str, infinite: bool, missing: bool) -> None:
        before = self.doubts.get(name, (False, False))
        self.doubts[name] = (before[0] or infinite, before[1] or missing)

    def write(self, graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
        """Add the nodes of DOUBTS, shape (rows, 1): 0 for a row without doubtful numbers.

        Returns the output, or nothing for a model without doubts.
        """
        made = {name for node in graph.node for name in node.output}
        doubts = {name: doubt for name, doubt in self.doubts.items() if name in made and any(doubt)}
        sums = []
        axis = f"{DOUBTS}_axis"
        for name, (infinite, missing) in doubts.items():
            steps: list[tuple[str, dict[str, int]]]
            steps = [("Flatten", {"axis": 1}), ("Cast", {"to": TensorProto.DOUBLE})]
            if not missing:
                steps += [("IsInf", {}), ("Cast", {"to": TensorProto.DOUBLE})]
            elif not infinite:
                steps += [("IsNaN", {}), ("Cast", {"to": TensorProto.DOUBLE})]
            last = name
            for operator, attributes in steps:
                last = self._node(graph, operator, [last], **attributes)
            if missing and infinite:  # the difference is NaN where the number is not finite
                last = self._node(graph, "Sub", [last, last])
            sums.append(self._node(graph, "ReduceSum", [last, axis], keepdims=1))
        if not sums:
            return []
        graph.initializer.append(numpy_helper.from_array(np.array([1]), axis))
        graph.node.append(make_node("Sum", sums, [DOUBTS]))
        return [make_tensor_value_info(DOUBTS, TensorProto.DOUBLE, None)]

    def _node(self, graph: onnx.GraphProto, operator: str, inputs: list[str], **more: Any) -> str:
        name = f"{DOUBTS}_{len(graph.node)}"
        graph.node.append(make_node(operator, inputs, [name], **more))
        return name


def finish(model: onnx.ModelProto) -> None:
    """Replace the placeholder domain TREES by the actual domain, and set the operator versions."""
    for node in model.graph.node:
        if node.domain == TREES:
            node.domain = ML_DOMAIN
    known = ("", ML_DOMAIN, TREES)
    kept = [entry for entry in model.opset_import if entry.domain not in known]
    del model.opset_import[:]
    # skl2onnx declares the highest version that its own nodes need.
    versions = (make_opsetid("", OPSET), make_opsetid(ML_DOMAIN, ML_VERSION))
    model.opset_import.extend([*kept, *versions])


def to_onnx(estimator: Any, features: Sequence[Feature]) -> bytes:
    """Return the estimator as ONNX, with the inputs and outputs that `forms.onnx` names.

    Raises NotImplementedError, or any exception of skl2onnx's converters, if this is impossible.
    """
    texts = [feature.kind in TEXT_KINDS for feature in features]
    inputs = [f"column_{index}" for index in range(len(features))]
    copied = prepared(estimator, dict(zip((f.column for f in features), inputs, strict=True)))
    # A single input suffices if no part of the estimator selects columns.
    whole = len(set(texts)) == 1 and not any(
        isinstance(part, ColumnTransformer) for part in parts_of(copied)
    )
    kinds = [StringTensorType if text else DoubleTensorType for text in texts]
    if whole:
        types = [(TEXTS if texts[0] else NUMBERS, kinds[0]([None, len(features)]))]
    else:
        types = [(name, kind([None, 1])) for name, kind in zip(inputs, kinds, strict=True)]
    guard = Guard()
    convert = functools.partial(
        convert_sklearn,
        copied,
        name="model",
        initial_types=types,
        target_opset={"": OPSET, ML_DOMAIN: SKL2ONNX_ML_VERSION},
        custom_conversion_functions=guard.converters(copied),
        custom_shape_calculators=dict(SHAPES),
    )
    model: onnx.ModelProto
    try:
        # Without this option, the probabilities may be a list of mappings instead of an array.
        model = convert(options={id(copied): {"zipmap": False}})
    except NameError:  # a converter without this option produces no mappings
        model = convert()
    finish(model)
    if not whole:
        for group, wanted in ((NUMBERS, False), (TEXTS, True)):
            columns = [name for name, text in zip(inputs, texts, strict=True) if text is wanted]
            if columns:
                _group(model.graph, group, columns)
    doubts = guard.write(model.graph)
    _name_outputs(model.graph, estimator)
    model.graph.output.extend(doubts)
    model.producer_version = ""
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def prepared(estimator: Any, names: Mapping[str, str]) -> Any:
    """Return a copy of the estimator in which a missing text is MISSING.

    names: the columns' names in the copy, since skl2onnx accepts only identifiers.
    """
    copied = copy.deepcopy(estimator)
    for part in parts_of(copied):
        if isinstance(part, SimpleImputer) and hasattr(part, "statistics_"):
            if part.statistics_.dtype.kind in "OU" and not isinstance(part.missing_values, str):
                part.missing_values = MISSING
        elif isinstance(part, (OneHotEncoder, OrdinalEncoder)) and hasattr(part, "categories_"):
            part.categories_ = [
                np.array([MISSING if pd.isna(entry) else entry for entry in categories], object)
                if categories.dtype.kind in "OU"
                else categories
                for categories in part.categories_
            ]
        elif isinstance(part, ColumnTransformer) and hasattr(part, "transformers_"):
            part.transformers_ = [
                (name, inner, _renamed(columns, names))
                for name, inner, columns in part.transformers_
            ]
        elif isinstance(part, VotingClassifier):
            # This setting is for `transform`, which is not used here; skl2onnx does not support it.
            part.flatten_transform = False
    return copied


def _renamed(columns: Any, names: Mapping[str, str]) -> Any:
    if isinstance(columns, str):
        return names.get(columns, columns)
    if isinstance(columns, (list, np.ndarray, pd.Index)):
        return [
            names.get(column, column) if isinstance(column, str) else column
            for column in list(columns)
        ]
    return columns


def _group(graph: onnx.GraphProto, group: str, columns: Sequence[str]) -> None:
    """Merge inputs of one column each into one input."""
    kind = TensorProto.STRING if group == TEXTS else TensorProto.DOUBLE
    inputs = {entry.name: entry for entry in graph.input}
    for column in columns:
        graph.input.remove(inputs[column])
    graph.input.append(make_tensor_value_info(group, kind, [None, len(columns)]))
    for place, column in enumerate(columns):
        index = f"{group}_{place}"
        graph.initializer.append(numpy_helper.from_array(np.array([place]), index))
        graph.node.insert(place, make_node("Gather", [group, index], [column], axis=1))


def _name_outputs(graph: onnx.GraphProto, estimator: Any) -> None:
    names = [PREDICTION]
    if hasattr(estimator, "predict_proba"):
        names.append(PROBABILITIES)
    given = [(output.name, output.type.tensor_type.elem_type) for output in graph.output]
    del graph.output[:]
    for (old, kind), name in zip(given, names, strict=False):
        # An output that skl2onnx declares as single precision may have either precision here.
        number = kind in (TensorProto.FLOAT, TensorProto.DOUBLE)
        renamed = f"{name}_given" if number else name
        taken = {name: f"{name}_inside", renamed: f"{renamed}_inside", old: renamed}
        for node in graph.node:
            for tensors in (node.input, node.output):
                tensors[:] = [taken.get(tensor, tensor) for tensor in tensors]
        if number:
            graph.node.append(make_node("Cast", [renamed], [name], to=TensorProto.DOUBLE))
        # Without a shape, because skl2onnx does not know all shapes.
        graph.output.append(
            make_tensor_value_info(name, TensorProto.DOUBLE if number else kind, None)
        )
