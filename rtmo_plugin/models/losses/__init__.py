"""Losses, one module each."""

from rtmo_plugin.models.losses.boxes import BoxL1Loss, IoULoss
from rtmo_plugin.models.losses.classification import VariFocalLoss, VisibilityLoss
from rtmo_plugin.models.losses.coordinates import KLCCLoss, MLECCLoss
from rtmo_plugin.models.losses.distillation_loss import DistillationLoss
from rtmo_plugin.models.losses.oks_loss import OKSLoss

__all__ = [
    "BoxL1Loss",
    "DistillationLoss",
    "IoULoss",
    "KLCCLoss",
    "MLECCLoss",
    "OKSLoss",
    "VariFocalLoss",
    "VisibilityLoss",
]
