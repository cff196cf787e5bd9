"""Look once, plan, then act: the observation of a machine, the plan, the saved plan, the journal."""
