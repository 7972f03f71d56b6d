"""What every run shares: scope, optimizer, moving average, logging.  No epoch number stands here."""

default_scope = "mmpose"
# Not read here, but MMPose's MMPoseInferencer asks for it.
data_mode = "bottomup"
custom_imports = dict(imports=["rtmo_plugin"], allow_failed_imports=False)

# The learning rate is for 256 images per step; `tools/train.py --auto-scale-lr` adapts it to the real batch.
auto_scale_lr = dict(base_batch_size=256)
optim_wrapper = dict(
    type="rtmo_plugin.OptimWrapper",
    constructor="rtmo_plugin.MergingOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=4e-3, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0,
        bias_decay_mult=0,
        bypass_duplicate=True,
        force_default_settings=True,
        # The transformer layer diverges at the convolutions' rate.
        custom_keys={"neck.encoder": dict(lr_mult=0.05)},
    ),
    clip_grad=dict(max_norm=0.1, norm_type=2),
)

custom_hooks = [
    # BatchNorm statistics become equal on all ranks before the average (49) and the checkpoint see them.
    dict(type="SyncBuffersHook", priority=48),
    dict(
        type="EMAHook",
        ema_type="rtmo_plugin.ForeachEMA",
        momentum=2e-4,
        gamma=2000,
        update_buffers=True,
        strict_load=False,
        priority=49,
    ),
    dict(type="rtmo_plugin.ChannelsLastHook"),
    dict(type="rtmo_plugin.RandomnessHook"),
    dict(type="rtmo_plugin.BrokenSampleHook", max_broken=100),
    # last.pth, beside the recipe's own checkpoints: an interruption costs ten minutes and a part of an epoch.
    dict(type="rtmo_plugin.ResumePointHook", minutes=10),
    # Positives by level and learned sigmas, one line per epoch, for tools/analyze.py.
    dict(type="rtmo_plugin.DiagnosticsHook"),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(type="PoseLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True, num_digits=6)
log_level = "INFO"
backend_args = dict(backend="local")
load_from = None
resume = False
val_cfg = dict()
test_cfg = dict()
