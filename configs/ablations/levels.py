"""Feature maps of the head: accuracy, computation, and the level of the detections.

python tools/ablate.py levels
"""

study = dict(
    method="training",
    title="Feature maps",
    claim="P3 costs most of the head's computation and finds few of the people: P4 and P5 do.",
    variants={
        "p3-p4-p5": dict(
            label="P3, P4, P5", options={"model.neck.out_levels": [3, 4, 5], "model.head.strides": [8, 16, 32]}
        ),
        "p4-p5": dict(label="P4, P5", options={}),
        "p5": dict(label="P5", options={"model.neck.out_levels": [5], "model.head.strides": [32]}),
    },
    columns={
        "AP": ".3f",
        "AP .5": ".3f",
        "AR": ".3f",
        "head GFLOPs": ".3f",
        "GFLOPs": ".2f",
        "found on P3, %": ".0f",
        "found on P4, %": ".0f",
        "found on P5, %": ".0f",
    },
    observe="levels",
)
