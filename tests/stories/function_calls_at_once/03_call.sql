SELECT make_table('made_by_call');
