UPDATE score SET source = 'API';
