"""The paper's claims as experiments: named variants, trained or timed, as a table and a plot."""

from studies.running import StudyReport, run_study
from studies.study import Request, Study, Variant, list_studies, load_study

__all__ = ["Request", "Study", "StudyReport", "Variant", "list_studies", "load_study", "run_study"]
