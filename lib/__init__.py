"""The library behind every lesson: models, optimizers, training, pictures, widgets.

Read it in this order: `surfaces`, `optimizers`, `training`, `models`, `widgets`.
Arrows go one way: chapters import widgets, widgets import training and models, and
all of those import torch. A model knows nothing of widgets or plots.

One set of letters is used for shapes everywhere:

    B  batch        examples handled together
    T  time         positions in a sequence
    C  channels     numbers that describe one position or pixel
    H  heads        attention heads of one layer
    D  head size    C / H
    V  vocabulary   different tokens

`import lib` on its own loads nothing heavy; each module loads what it needs.
"""

__version__ = "0.1.0"
