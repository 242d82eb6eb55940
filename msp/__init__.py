"""MSP: mixtures of tuned soft prompts turn a few labelled examples into a training set.

The tree is the data flow: ``tasks`` reads the seed examples, ``prompts`` and
``models`` say what learns, ``methods`` plans, ``engines`` writes, ``denoise``
judges, ``storage`` keeps, ``students`` learns and ``report`` shows.
``distributed`` is the only package that imports Ray or DeepSpeed.
"""

__version__ = "0.1.0"
