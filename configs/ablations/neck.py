"""Necks: attention on P5, or convolutions only.

python tools/ablate.py neck
"""

study = dict(
    method="training",
    title="Neck",
    claim="The hybrid encoder is better than the PAFPN of YOLOX-Pose.",
    variants={
        "pafpn": dict(label="PAFPN of YOLOX-Pose", options={"model.neck.type": "rtmo_plugin.YOLOXPosePAFPN"}),
        "hybrid": dict(label="HybridEncoder", options={}),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f", "GFLOPs": ".2f", "params M": ".2f"},
)
