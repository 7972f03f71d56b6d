"""RTMO-s: the whole model.  Every other size changes a few numbers of it.

What follows from `widen_factor` (channels) and from `keypoints` (their number, sigmas, flip pairs) is
derived in code; what is not named here is the default of its class.
"""

model = dict(
    type="BottomupPoseEstimator",
    init_cfg=dict(
        type="Kaiming",
        layer="Conv2d",
        a=2.23606797749979,  # sqrt(5), PyTorch's own choice for convolutions
        distribution="uniform",
        mode="fan_in",
        nonlinearity="leaky_relu",
    ),
    data_preprocessor=dict(
        type="rtmo_plugin.PackedDataPreprocessor",
        pad_size_divisor=32,
        mean=[0, 0, 0],
        std=[1, 1, 1],
        batch_augments=[
            dict(type="rtmo_plugin.BatchRandomResize", random_size_range=(480, 800), size_divisor=32, interval=1)
        ],
    ),
    backbone=dict(
        type="CSPDarknet",
        widen_factor=0.5,
        deepen_factor=0.33,
        out_indices=(2, 3, 4),
        spp_kernal_sizes=(5, 9, 13),
        norm_cfg=dict(type="BN", momentum=0.03, eps=0.001),
        # What MMPose calls Swish: the same function, without its copies.
        act_cfg=dict(type="SiLU", inplace=False),
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_s_8x8_300e_coco/"
            "yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth",
            prefix="backbone.",
        ),
    ),
    neck=dict(type="rtmo_plugin.HybridEncoder", widen_factor=0.5, deepen_factor=0.33),
    head=dict(
        type="rtmo_plugin.RTMOHead",
        keypoints="coco",
        widen_factor=0.5,
        assigner=dict(type="rtmo_plugin.SimOTAAssigner", center="box"),
        # `stages` names what differs from the loss weights in rtmo_plugin/models/heads/stages.py, which are RTMO-s's;
        # the schedule says when each stage begins.
    ),
    test_cfg=dict(score_thr=0.1, nms_thr=0.65),
)
