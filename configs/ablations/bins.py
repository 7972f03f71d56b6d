"""Number of bins, and their range beyond the box.

python tools/ablate.py bins
"""

study = dict(
    method="training",
    title="Bins",
    claim="192 x 256 bins over 1.25 times the box suffice.",
    variants={
        **{
            f"{x}x{y}": dict(label=f"{x} x {y} bins, box x 1.25", options={"model.head.dcc": dict(num_bins=(x, y))})
            for x, y in ((48, 64), (96, 128), (192, 256), (384, 512))
        },
        **{
            f"padding-{padding}": dict(
                label=f"192 x 256 bins, box x {padding}", options={"model.head.dcc.box_padding": padding}
            )
            for padding in (1.0, 1.5)
        },
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
)
