"""What trains a model, proves its form and writes it: never imported by what serves it.

`model.train` imports from here what its `train` returns.
"""

from model.service.training.result import HeldOut, Training, TrainingError

__all__ = ["HeldOut", "Training", "TrainingError"]
