"""Few images: what pasted people, covered body parts and a teacher add; docs/ablations.md has the commands before it.

python tools/ablate.py few --data few --images 96 --transfer-from START.pth --teacher TEACHER.py TEACHER.pth
"""

study = dict(
    method="training",
    title="Few images",
    claim="Where images are few, people pasted from other images, covered body parts and a larger teacher raise AP.",
    variants={
        "baseline": dict(label="the transforms of the config", options={}),
        "copy-paste": dict(label="+ copy-paste", options={}, training=dict(augment="copy-paste")),
        "occlusion": dict(label="+ occlusion", options={}, training=dict(augment="occlusion")),
        "taught": dict(label="+ RTMO-s as teacher", options={}, training=dict(teacher=True)),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
)
