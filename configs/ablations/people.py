"""Time of an image over the number of people: RTMO, and pipelines of a detector and a pose estimator.

python tools/ablate.py people
"""

_ours = {"RTMO-s": "rtmo-s_coco", "RTMO-m": "rtmo-m_coco"}
# MMPose's own demo pairs these detectors with its RTMPose; sizes are (width, height).
_theirs = {
    "RTMDet-nano + RTMPose-s": dict(
        detector="mmpose:demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py",
        detector_size=(320, 320),
        pose="mmpose:configs/body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py",
        pose_size=(192, 256),
    ),
    "RTMDet-m + RTMPose-m": dict(
        detector="mmpose:demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py",
        detector_size=(640, 640),
        pose="mmpose:configs/body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py",
        pose_size=(192, 256),
    ),
}

study = dict(
    method="people",
    title="People",
    claim="The time of one stage hardly depends on the number of people; top-down pipelines are overtaken at a few.",
    variants={str(n): dict(label=str(n), options=dict(num_people=n)) for n in (0, 1, 2, 3, 5, 10, 20, 50, 100, 200)},
    columns=dict.fromkeys((*_ours, *_theirs), ".1f"),
    settings=dict(ours=_ours, size=640, top_down=_theirs, image_wh=(640, 480), crops_at_once=8, rounds=4),
)
