"""Coverage-guided fuzzing: `python -m guided TARGET [libFuzzer's options]`; needs atheris (pip install atheris)."""
