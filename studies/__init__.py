"""The paper's comparisons: named variants, trained or timed, in a table and a plot; see definitions and study_runs."""
