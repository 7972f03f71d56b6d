"""Where the data lie and how they are read.  A leaf adds the batch size, a data file the dataset."""

# Every dataset and evaluator below this root; `tools/train.py --data-root DIR` moves all of them.
data_root = "data/"

train_dataloader = dict(
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    # Targets padded in the worker: a batch is some ten tensors, not some hundred.
    collate_fn=dict(type="rtmo_plugin.pack_batch"),
    sampler=dict(type="DefaultSampler", shuffle=True),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False, round_up=False),
)
test_dataloader = val_dataloader
