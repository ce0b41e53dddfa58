-- The program of a batch: whatever is inserted into this view goes into the tables, all rows by one
-- step of SQLite. Only on the connection of the lane's writer, so no file knows of it. A row has a
-- letter, a recipient, an outcome or an event, or those that go together; what it has not is 0.
CREATE TEMP VIEW batch AS SELECT
    NULL AS letter, NULL AS n,
    NULL AS content, NULL AS sender, NULL AS accepted, NULL AS size, NULL AS user, NULL AS client,
    NULL AS message_id, NULL AS params,
    NULL AS address, NULL AS asked,
    NULL AS over, NULL AS leaving,
    NULL AS state, NULL AS due, NULL AS last, NULL AS cause, NULL AS warned,
    NULL AS kind, NULL AS at, NULL AS recipient, NULL AS data;
CREATE TEMP TRIGGER batch_letter INSTEAD OF INSERT ON batch WHEN NEW.content IS NOT 0 BEGIN
    INSERT INTO letters (id, sender, accepted, size, user, client, message_id, params, content)
        VALUES (NEW.letter, NEW.sender, NEW.accepted, NEW.size, NEW.user, NEW.client,
            NEW.message_id, NEW.params, NEW.content);
END;
CREATE TEMP TRIGGER batch_recipient INSTEAD OF INSERT ON batch WHEN NEW.address IS NOT 0 BEGIN
    INSERT INTO recipients (letter, n, address, params, state, due)
        VALUES (NEW.letter, NEW.n, NEW.address, NEW.asked, NEW.state, NEW.due);
END;
-- What the command has removed meanwhile stays so, and what it holds stays held; but what became of
-- a try that was under way is known: that there was one, and that the sender was warned.
CREATE TEMP TRIGGER batch_deferred INSTEAD OF INSERT ON batch WHEN NEW.last IS NOT 0 BEGIN
    UPDATE recipients SET state = CASE state WHEN 'held' THEN state ELSE NEW.state END,
            due = CASE state WHEN 'held' THEN due ELSE NEW.due END, attempts = attempts + 1,
            last = NEW.last, cause = NEW.cause, warned = max(warned, NEW.warned)
        WHERE letter = NEW.letter AND n = NEW.n;
END;
-- Whoever knows how many letters leave is told only what is otherwise: to be told, one has to wait
-- for one's turn with Python.
CREATE TEMP TRIGGER batch_over INSTEAD OF INSERT ON batch WHEN NEW.over BEGIN
    DELETE FROM recipients WHERE letter = NEW.letter AND n = NEW.n;
    DELETE FROM letters WHERE id = NEW.letter
        AND NOT EXISTS (SELECT 1 FROM recipients WHERE letter = NEW.letter);
    SELECT differs(changes() - NEW.leaving) WHERE changes() <> NEW.leaving;
END;
CREATE TEMP TRIGGER batch_event INSTEAD OF INSERT ON batch WHEN NEW.kind IS NOT 0 BEGIN
    INSERT INTO events (at, kind, letter, recipient, data)
        VALUES (NEW.at, NEW.kind, NEW.letter, NEW.recipient, NEW.data);
END;
