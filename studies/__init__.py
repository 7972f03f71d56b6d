"""The paper's comparisons: named variants, trained or timed, in a table and a plot."""

from studies.definitions import Request, Study, Variant, list_studies, load_study
from studies.study_runs import StudyReport, run_study

__all__ = ["Request", "Study", "StudyReport", "Variant", "list_studies", "load_study", "run_study"]
