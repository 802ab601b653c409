"""The course around an environment: quizzes, hints, and what a learner has done so far."""
