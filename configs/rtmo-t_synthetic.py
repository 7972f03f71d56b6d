"""RTMO-t on synthetic people, for 2 CPU cores and ten minutes: `make demo` runs it and prints its AP.

python tools/train.py configs/rtmo-t_synthetic.py --amp
"""

_base_ = ["_base_/runtime_short.py", "_base_/sizes/t_short.py", "_base_/data/synthetic.py"]

train_dataloader = dict(batch_size=16)
