"""The researcher's side: plans studies, averages client updates, reports; never sees a private row."""
