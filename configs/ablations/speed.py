"""Parameters, computation and time over width and depth, beside the published accuracy.

python tools/ablate.py speed
"""

study = dict(
    method="speed",
    title="Speed and accuracy",
    claim="RTMO trades accuracy for speed smoothly from t to l.",
    variants={
        "t": dict(label="RTMO-t, 416", options=dict(config="rtmo-t_coco", size=416, ap=0.574, weights="body7")),
        "s": dict(label="RTMO-s", options=dict(config="rtmo-s_coco", size=640, ap=0.677, weights="COCO")),
        "s-m": dict(label="between s and m", options=dict(config="rtmo-s_coco", size=640, widen=0.625, deepen=0.5)),
        "m": dict(label="RTMO-m", options=dict(config="rtmo-m_coco", size=640, ap=0.709, weights="COCO")),
        "m-l": dict(label="between m and l", options=dict(config="rtmo-m_coco", size=640, widen=0.875, deepen=0.83)),
        "l": dict(label="RTMO-l", options=dict(config="rtmo-l_coco", size=640, ap=0.724, weights="COCO")),
    },
    columns={
        "params M": ".1f",
        "GFLOPs": ".1f",
        "ONNX Runtime float32, ms": ".1f",
        "OpenVINO float32, ms": ".1f",
        "OpenVINO bfloat16, ms": ".1f",
        "published AP": ".3f",
    },
    settings=dict(
        runtimes={
            "ONNX Runtime float32": dict(runtime="onnxruntime"),
            "OpenVINO float32": dict(runtime="openvino", precision="float32"),
            "OpenVINO bfloat16": dict(runtime="openvino", precision="bfloat16"),
        },
        num_people=5,
        image_wh=(640, 480),
        rounds=8,
        # As published: (milliseconds, AP) on COCO val2017.  Other machines, so another axis.
        published={
            "RTMO (T4, ONNX Runtime with TensorRT)": [(9.7, 0.677), (11.3, 0.709), (15.7, 0.724)],
            "ECPose (T4, TensorRT FP16)": [(5.5, 0.689), (9.3, 0.724), (11.8, 0.735), (14.3, 0.748)],
            "DETRPose (V100, TensorRT FP16)": [(5.0, 0.670), (7.0, 0.694), (9.5, 0.725), (13.3, 0.733)],
            "YOLO26-pose (T4, TensorRT)": [(2.7, 0.630), (5.0, 0.688), (6.5, 0.704), (12.2, 0.716)],
            "YOLO11-pose (T4, TensorRT)": [(2.6, 0.589), (4.9, 0.649), (6.4, 0.661), (12.1, 0.695)],
        },
    ),
)
