-- everything lies in ${schema}
CREATE SCHEMA ${schema};
