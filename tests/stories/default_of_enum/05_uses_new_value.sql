UPDATE score SET source = 'ANNOTATION';
