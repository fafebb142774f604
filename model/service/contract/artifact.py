"""The estimator on disk, `model.skops`.

The format is skops, not pickle, because unpickling can run arbitrary code. Only types that skops
considers safe, and those listed in TRUSTED_TYPES, are instantiated.
"""

import gc
import io
import json
import types
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import skops.io
from numpy.typing import NDArray
from skops.io.exceptions import UntrustedTypesFoundException

from model.service.contract.card import ArtifactError, read_file

MODEL_FILE = "model.skops"

# Full names of further types that a model may contain. Loading may run the code of each of them:
# add only types whose code you have reviewed.
TRUSTED_TYPES: tuple[str, ...] = (
    "functools.partial",  # the wrapped function must be listed here, too
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.CompoundKernel",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Exponentiation",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.PairwiseKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
    # Prediction uses the indices in these types unchecked: `_has_sound_indices` validates them.
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)

SCHEMA_FILE = "schema.json"
CONSTANTS = ("JsonNode", "TypeNode")
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
NO_CHILD = -1


class Estimator(Protocol):
    """A fitted scikit-learn estimator or Pipeline."""

    def predict(self, X: Any, /) -> NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Return one prediction for each row of X, which has the columns of the training frame."""


def load_estimator(folder: Path, card: Mapping[str, Any]) -> Estimator:
    """Load the estimator that the card in `folder` describes.

    Raises ArtifactError if its file is missing or does not match the card, contains types that are
    not trusted, or was created by another version of scikit-learn.
    """
    model = read_file(folder, card, MODEL_FILE)
    trained, installed = card["libraries"].get("scikit-learn"), version("scikit-learn")
    if trained != installed:
        raise ArtifactError(
            f"{folder / MODEL_FILE} was trained with scikit-learn {trained}, but {installed} is "
            "installed: train the model again."
        )
    return restore(model)


def dump(estimator: Estimator) -> bytes:
    """Return the content of an estimator's file, byte for byte reproducible.

    What differs between runs is normalized: skops numbers objects and names archive members by
    memory address, zip records the time, and structured arrays have padding between their fields.

    Raises ArtifactError if the estimator has parts that skops cannot write.
    """
    try:
        model = skops.io.dumps(estimator)
    except Exception as error:
        # A part that cannot be written may raise any exception.
        raise ArtifactError(f"skops cannot write the estimator: {error}.") from error
    # skops writes such functions, too, but nothing can load them.
    nameless = [name for name in skops.io.get_untrusted_types(data=model) if "<" in name]
    if nameless:
        raise ArtifactError(
            f"The estimator contains {', '.join(sorted(nameless))}, which has no name by which it "
            "can be loaded: use a function of numpy or scikit-learn, or define yours with def at "
            "the top of a module."
        )
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop(SCHEMA_FILE))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, dict):
            # Whether two equal constants are the same object depends on their origin.
            constant = node.get("__loader__") in CONSTANTS
            return {
                key: numbers.setdefault(value, len(numbers) + 1)
                if key == "__id__"
                else renumber(value)
                for key, value in node.items()
                if not (constant and key == "__id__")
            }
        if isinstance(node, list):
            return [renumber(item) for item in node]
        if isinstance(node, str) and node in members:
            return names.setdefault(node, f"{len(names)}{Path(node).suffix}")
        return node

    schema = renumber(schema)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(zipfile.ZipInfo(new, ZIP_EPOCH), _without_gaps(members[old]))
        archive.writestr(zipfile.ZipInfo(SCHEMA_FILE, ZIP_EPOCH), json.dumps(schema, indent=1))
    return buffer.getvalue()


def restore(model: bytes) -> Estimator:
    """Return the estimator from the content of its file.

    Raises ArtifactError if the content is damaged, not trusted or not an estimator.
    """
    try:
        estimator = skops.io.loads(model, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        found = sorted(set(skops.io.get_untrusted_types(data=model)) - set(TRUSTED_TYPES))
        raise ArtifactError(
            f"The model holds types that are not trusted: {', '.join(found)}. If you know them "
            f"to be harmless, name them in TRUSTED_TYPES of {__name__}."
        ) from error
    except Exception as error:
        # A damaged file may raise any exception.
        raise ArtifactError(f"The model cannot be read: {error!r}.") from error
    if not callable(getattr(estimator, "predict", None)):
        raise ArtifactError(f"The model is a {type(estimator).__name__}, which cannot predict.")
    for part in _parts(estimator):
        if not _has_sound_indices(part):
            raise ArtifactError(
                f"The model's {type(part).__name__} points outside itself: train the model again."
            )
    return estimator  # type: ignore[no-any-return]


def _without_gaps(member: bytes) -> bytes:
    """Return the .npy content of an array with the padding between record fields set to zero."""
    array = np.load(io.BytesIO(member), allow_pickle=False)
    if array.dtype.names is None:
        return member
    meant = np.zeros(array.dtype.itemsize, bool)
    for kind, offset, *_ in array.dtype.fields.values():
        meant[offset : offset + kind.itemsize] = True
    head = member[: len(member) - array.nbytes]
    # Copying records with numpy would not clear the padding.
    records = np.frombuffer(member[len(head) :], np.uint8).reshape(-1, array.dtype.itemsize)
    return head + np.where(meant, records, np.uint8(0)).tobytes()


def _parts(root: object) -> Iterator[object]:
    """Yield each object reachable from the root, except types, modules and functions."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(
            part, type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType
        ):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype == object else []
        else:
            waiting += gc.get_referents(part)


def _has_sound_indices(part: Any) -> bool:
    match type(part).__name__:
        case "Tree":
            state = part.__getstate__()["nodes"]
            inner = state["left_child"] != NO_CHILD
            return _descend(state["left_child"], state["right_child"], inner) and _within(
                state["feature"][inner], part.n_features
            )
        case "TreePredictor":
            nodes = part.nodes
            inner = nodes["is_leaf"] == 0
            categorical = inner & (nodes["is_categorical"] != 0)
            return (
                _descend(nodes["left"], nodes["right"], inner)
                and bool((nodes["feature_idx"][inner] >= 0).all())
                and _within(nodes["bitset_idx"][categorical], len(part.raw_left_cat_bitsets))
            )
        case "KDTree" | "BallTree":
            data, indices, nodes, bounds = part.__getstate__()[:4]
            inner = nodes["is_leaf"] == 0
            return (
                len(indices) == len(data)
                and bounds.shape[1] == len(nodes)
                and _within(indices, len(data))
                and _within(nodes["idx_start"], len(data) + 1)
                and _within(nodes["idx_end"], len(data) + 1)
                and 2 * int(np.flatnonzero(inner).max(initial=-1)) + 2 < len(nodes)
            )
        case _:
            return True


def _descend(left: NDArray[Any], right: NDArray[Any], inner: NDArray[Any]) -> bool:
    """Return whether each inner node's children follow it, so that every descent terminates."""
    own = np.arange(len(left))
    return all(bool(((child > own) & (child < len(left)))[inner].all()) for child in (left, right))


def _within(indices: NDArray[Any], length: int) -> bool:
    return bool(((indices >= 0) & (indices < length)).all())
