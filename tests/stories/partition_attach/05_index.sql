CREATE INDEX event_at ON event (at);
