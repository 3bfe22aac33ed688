"""The pool of a job: what a call takes from its limits, and what a reply says about them. The attempt imports it."""
