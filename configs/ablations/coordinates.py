"""Coordinates by regression, by classification over fixed or dynamic bins, and by RTMO's classifier (DCC).

python tools/ablate.py coordinates
"""

study = dict(
    method="training",
    title="Coordinates",
    claim="Classifying coordinates over bins that follow the person, by encodings that follow them too, "
    "is better than regression and than bins fixed over the image.",
    variants={
        "regression": dict(
            label="direct regression",
            options={
                "model.head.coordinates": "proxy",
                "model.head.stages.warmup.weights.mle": 0.0,
                "model.head.stages.refine.weights.mle": 0.0,
                "model.head.stages.refine.proxy_target": "truth",
            },
        ),
        "fixed-bins": dict(
            label="classification, bins fixed over the image",
            options={"model.head.dcc": dict(bin_layout="image", bin_encoding="learned")},
        ),
        "dynamic-bins": dict(
            label="+ dynamic bin allocation", options={"model.head.dcc": dict(bin_encoding="learned")}
        ),
        "dcc": dict(label="+ dynamic bin encoding (DCC)", options={}),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
)
