"""What a batch's results can be written as: a module per form, each a function from outcomes to an open file."""
