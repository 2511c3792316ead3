"""The library behind every lesson: models, optimizers, training, pictures, widgets.

Where to read, by question:

    how a model learns         surfaces, optimizers (flat and groups lie under it),
                               schedules, losses, regularizers, training, search
    what a model is            models.mlp, models.cnn, models.recurrent,
                               models.attention, models.transformer, models.generation,
                               document_networks
    where the numbers go       models.autograd, device, checkpoints
    what it learns from        datasets, tokenizers, augment
    whether it has learnt      metrics, claims, intervals
    why it answers so          explain, occlusion, randomise
    what others have trained   pretrained, wordpiece, weights, reference_outputs,
                               transfer, history, scale
    what you see               plots, widgets, and what they show: descent, model_race,
                               loss_plane, playground, dashboard, heatmaps, merges,
                               expressions, network_plots, heatmap_figures, and the
                               modules that end in _lab
    what you do                exercises
    how news reaches a page    prompt_link

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
