"""Other keypoints: what weights of people, pasted robots and a teacher add; docs/custom-data.md has the rest.

python tools/ablate.py transfer --data robots --images 50 --transfer-from START.pth --teacher TEACHER.py TEACHER.pth
"""

study = dict(
    method="training",
    title="Other keypoints",
    claim="Weights that were learned on people help with other keypoints; so do pasted objects and a teacher.",
    variants={
        "scratch": dict(label="random weights", options={}, training=dict(transfer_from=None)),
        "transfer": dict(label="weights of people", options={}),
        "copy-paste": dict(label="+ copy-paste", options={}, training=dict(augment="copy-paste")),
        "taught": dict(label="+ RTMO-s as teacher", options={}, training=dict(teacher=True)),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
)
