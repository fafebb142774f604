"""Models that stand in for model/train.py: the estimators that the servers are compared by.

The line through one feature is model/train.py itself.
"""
