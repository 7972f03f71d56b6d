"""Ablations on synthetic people: `rtmo-t_synthetic`, evaluated once at the end.

`tools/ablate.py` sets `train_dataloader.dataset.num_images`, so that a study fits its budget.
"""

_base_ = ["../../rtmo-t_synthetic.py"]

train_cfg = dict(val_interval=6)
default_hooks = dict(checkpoint=dict(interval=6, max_keep_ckpts=1))
