"""Loss of the classifier: KL divergence to a fixed Gaussian, or likelihood with fixed or learned sigma.

python tools/ablate.py loss
"""

study = dict(
    method="training",
    title="Loss",
    claim="Maximizing the likelihood of the label with a learned scale of the error is better than the "
    "divergence from a fixed Gaussian, and the scale learns which keypoints are uncertain.",
    variants={
        "kl": dict(
            label="KL to a fixed Gaussian", options={"model.head": dict(loss_mle=dict(type="rtmo_plugin.KLCCLoss"))}
        ),
        "mle-fixed": dict(label="MLE, sigma fixed", options={"model.head": dict(loss_mle=dict(learned_sigma=False))}),
        "mle": dict(label="MLE, sigma learned", options={}),
    },
    columns={"AP": ".3f", "AP .5": ".3f", "AP .75": ".3f", "AR": ".3f"},
    observe="sigmas",
    observed_variant="mle",
)
