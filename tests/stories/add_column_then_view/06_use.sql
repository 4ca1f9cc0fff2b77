UPDATE customer SET telephone = email WHERE telephone = '';
