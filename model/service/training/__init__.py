"""Training a model, proving its form and saving it; the serving code never imports this package.

`model.train` imports `Training`, the result of its `train`, from here.
"""

from model.service.training.result import HeldOut, Training, TrainingError

__all__ = ["HeldOut", "Training", "TrainingError"]
