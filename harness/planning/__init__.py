"""Planning: tables, a recipe, data facts and costs in, a plan of stages out. Pure; everything comes in as values."""
