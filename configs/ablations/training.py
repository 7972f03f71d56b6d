"""Parts of the training recipe: the switch of stages, the L1 loss at the end, OKS in the assignment.

python tools/ablate.py training
"""

study = dict(
    method="training",
    title="Training",
    claim="Each part of the recipe helps: letting the classifier teach once it can, L1 on boxes at the end, "
    "and poses in the assignment.",
    variants={
        "all": dict(label="the whole recipe", options={}),
        "no-switch": dict(
            label="without the switch of stages",
            options={"model.head.stages.refine.weights.mle": 1.0, "model.head.stages.refine.proxy_target": "truth"},
        ),
        "no-l1": dict(label="without L1 at the end", options={"model.head.stages.finish.weights.bbox_aux": 0.0}),
        "no-oks": dict(label="without OKS in the assignment", options={"model.head.assigner.oks_weight": 0.0}),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
)
