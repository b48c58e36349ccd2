select id from nowhere
