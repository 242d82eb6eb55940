"""The downstream models: small multi-label classifiers over the task's labels.

Two arms are trained alike, on the seed examples alone and on seed and synthetic
examples together, so that what differs in their scores comes from the data.
"""
