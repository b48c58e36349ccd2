select id, charttime from labs
