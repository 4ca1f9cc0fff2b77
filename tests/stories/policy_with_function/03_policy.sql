ALTER TABLE document ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_org ON document USING (org = current_org()) WITH CHECK (org = current_org());
