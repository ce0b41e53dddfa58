-- The program of one batch: what is inserted into this view is taken apart and written by one step
-- of SQLite, one transaction by itself. Only on the connection of the lane's writer, so no file
-- knows of it. Rows come as JSON arrays; contents, which are no JSON, one behind the other.
-- A letter's rows come before its outcomes. ("->>" would need SQLite 3.38, UPDATE FROM 3.33.)
CREATE TEMP VIEW batch AS
    SELECT NULL AS letters, NULL AS contents, NULL AS recipients, NULL AS deferred, NULL AS over,
        NULL AS leaving, NULL AS events;
CREATE TEMP TRIGGER batch_comes INSTEAD OF INSERT ON batch BEGIN
    INSERT INTO letters (id, sender, accepted, size, user, client, message_id, params, content)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
            json_extract(value, '$[2]'), json_extract(value, '$[3]'),
            json_extract(value, '$[4]'), json_extract(value, '$[5]'),
            json_extract(value, '$[6]'), json_extract(value, '$[7]'),
            CASE json_extract(value, '$[3]') WHEN length(NEW.contents) THEN NEW.contents  -- no copy
            ELSE substr(NEW.contents, json_extract(value, '$[8]'), json_extract(value, '$[3]')) END
        FROM json_each(NEW.letters);
    INSERT INTO recipients (letter, n, address, params, state, due)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
            json_extract(value, '$[2]'), json_extract(value, '$[3]'), 'ready',
            json_extract(value, '$[4]')
        FROM json_each(NEW.recipients);
    -- What the command has removed meanwhile, or holds, stays as it is.
    REPLACE INTO recipients
            (letter, n, address, params, state, attempts, due, last, cause, warned)
        SELECT kept.letter, kept.n, kept.address, kept.params, json_extract(value, '$[2]'),
            kept.attempts + 1, json_extract(value, '$[3]'), json_extract(value, '$[4]'),
            json_extract(value, '$[5]'), max(kept.warned, json_extract(value, '$[6]'))
        FROM json_each(NEW.deferred) CROSS JOIN recipients AS kept
            ON kept.letter = json_extract(value, '$[0]') AND kept.n = json_extract(value, '$[1]')
        WHERE kept.state <> 'held';
    DELETE FROM recipients WHERE (letter, n) IN
        (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(NEW.over));
    DELETE FROM letters
        WHERE id IN (SELECT json_extract(value, '$[0]') FROM json_each(NEW.over))
            AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = letters.id);
    -- Told only where it is not what was to be expected: to tell, one has to wait for Python.
    SELECT gone(changes()) WHERE changes() <> NEW.leaving;
    INSERT INTO events (at, kind, letter, recipient, data)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
            json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]')
        FROM json_each(NEW.events);
END;
