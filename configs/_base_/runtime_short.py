"""For minutes of training from random weights, small batches and no GPU."""

_base_ = "./runtime.py"

optim_wrapper = dict(
    # A few hundred steps: squared gradients of the first, wild ones must be forgotten.
    optimizer=dict(lr=1.5e-3, betas=(0.9, 0.99)),
    paramwise_cfg=dict(
        # The classifier's attention and sines want smaller steps than the convolutions; the
        # transformer layer bears the full rate now that it starts from random weights.
        custom_keys={"neck.encoder": dict(lr_mult=1.0), "head.dcc": dict(lr_mult=0.25)},
    ),
)
auto_scale_lr = dict(base_batch_size=16)

custom_hooks = [
    dict(type="SyncBuffersHook", priority=48),
    # An average over hundreds of steps, not tens of thousands.
    dict(
        type="EMAHook",
        ema_type="rtmo_plugin.ForeachEMA",
        momentum=5e-3,
        gamma=100,
        update_buffers=True,
        strict_load=False,
        priority=49,
    ),
    dict(type="rtmo_plugin.ChannelsLastHook"),
    dict(type="rtmo_plugin.RandomnessHook"),
    dict(type="rtmo_plugin.BrokenSampleHook", max_broken=100),
    dict(type="rtmo_plugin.ResumePointHook", minutes=10),
    dict(type="rtmo_plugin.DiagnosticsHook"),
]
